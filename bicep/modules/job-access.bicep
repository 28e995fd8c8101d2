metadata description = 'Only intake may start and stop the jobs. Whoever starts one can replace its image, so they have less rights than intake.'

import { roleGuid } from 'types.bicep'

@description('Names of the jobs.')
param jobNames string[]
@description('Name of intake\'s identity.')
param starterName string

resource job 'Microsoft.App/jobs@2025-07-01' existing = [
  for name in jobNames: {
    name: name
  }
]

resource starter 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: starterName
}

resource mayStart 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, i) in jobNames: {
    scope: job[i]
    name: guid(job[i].id, starterName, 'starter')
    properties: {
      principalId: starter.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid('starter', resourceGroup().id)
      )
      description: 'Starts the job and stops what hangs.'
    }
  }
]
