metadata description = 'One identity per app, one for the job, one for encryption where the customer has keys. Made first: roles spread slowly.'

@description('Names of the identities.')
param names string[]
@description('Region.')
param location string
@description('Tags.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for name in names: {
    name: name
    location: location
    tags: tags
  }
]
