targetScope = 'resourceGroup'

metadata description = 'The identity that deploys from GitHub: Contributor, may grant the apps their roles and no others, may set locks. Not Owner. And one that only previews.'

import { roleGuid } from 'modules/types.bicep'

@description('Region.')
param location string = resourceGroup().location

@description('GitHub repository (owner/name) whose workflow deploys.')
param repository string

@description('GitHub environment that the workflow must run in; protect it with reviewers.')
param githubEnvironment string = 'production'

@description('GitHub environment of pull requests. Whoever can push a branch can act in it: it may only read.')
param previewEnvironment string = 'preview'

var roles = loadJsonContent('roles.json')
// What main.bicep assigns. The deployer's own roles are not among it: it cannot make another deployer.
var assignable = concat(
  map(items(roles.builtIn), item => item.value.id),
  map(
    filter(items(roles.custom), item => !contains(['locker', 'previewer'], item.key)),
    item => roleGuid(item.key, resourceGroup().id)
  )
)
var list = join(assignable, ', ')
var condition = replace(
  '''
((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR
 (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLES} AND
  @Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal', 'Group'}))
AND
((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR
 (@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLES}))
''',
  'ROLES',
  list
)

resource deployer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'readfirst-deployer'
  location: location

  resource github 'federatedIdentityCredentials' = {
    name: 'github'
    properties: {
      issuer: 'https://token.actions.githubusercontent.com'
      subject: 'repo:${repository}:environment:${githubEnvironment}'
      audiences: ['api://AzureADTokenExchange']
    }
  }
}

resource contributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, 'contributor')
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'b24988ac-6180-42a0-ab88-20f7382dd24c'
    )
    description: 'Deploys resources.'
  }
}

resource roleAdministrator 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, 'role-administrator')
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'f58310d9-a9f6-439a-9e8d-f62e7b41a168'
    )
    conditionVersion: '2.0'
    condition: condition
    description: 'Grants the apps the roles of our list and no other.'
  }
}

resource locker 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, 'locker')
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('locker', resourceGroup().id)
    )
    description: 'Sets the locks on the vault; cannot remove them.'
  }
}

resource previewer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'readfirst-previewer'
  location: location

  resource github 'federatedIdentityCredentials' = {
    name: 'github'
    properties: {
      issuer: 'https://token.actions.githubusercontent.com'
      subject: 'repo:${repository}:environment:${previewEnvironment}'
      audiences: ['api://AzureADTokenExchange']
    }
  }
}

resource mayPreview 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, previewer.id, 'previewer')
  properties: {
    principalId: previewer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('previewer', resourceGroup().id)
    )
    description: 'Says on a pull request what would change.'
  }
}

@description('AZURE_PREVIEW_CLIENT_ID of the workflow.')
output previewClientId string = previewer.properties.clientId
@description('AZURE_CLIENT_ID of the workflow.')
output clientId string = deployer.properties.clientId
