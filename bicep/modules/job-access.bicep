metadata description = 'Only intake may start the job. Whoever starts it can replace its image, so the job has less rights than intake.'

import { roleGuid } from 'types.bicep'

@description('Name of the job.')
param jobName string
@description('Name of intake\'s identity.')
param starterName string

resource job 'Microsoft.App/jobs@2025-07-01' existing = {
  name: jobName
}

resource starter 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: starterName
}

resource mayStart 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: job
  name: guid(job.id, starterName, 'starter')
  properties: {
    principalId: starter.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('starter', resourceGroup().id)
    )
    description: 'Starts the job.'
  }
}
