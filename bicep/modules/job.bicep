metadata description = 'The jobs that analyse: a Container Apps environment that costs nothing while idle; the job, and beside a GPU one on CPUs.'

@description('Prefix of the names.')
param prefix string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('GPU of the job. With one, a second job stands in for it on CPUs when there is no capacity.')
param gpu ('none' | 'T4' | 'A100')
@description('Image of the job.')
param image string
@description('Login server of the registry that the job\'s identity pulls from; empty for a public image.')
param registryServer string
@description('Name of its identity.')
param identityName string
@description('Environment of the container.')
param settings object
@description('Spread over availability zones.')
param zoneRedundant bool
@description('Subnet of the environment; empty for none.')
param subnetId string
@description('Workspace of operations.')
param workspaceId string

var sizes = {
  none: { profile: 'Consumption', type: 'Consumption', cpu: 4, memory: '8Gi' }
  T4: { profile: 'gpu', type: 'Consumption-GPU-NC8as-T4', cpu: 8, memory: '56Gi' }
  A100: { profile: 'gpu', type: 'Consumption-GPU-NC24-A100', cpu: 24, memory: '220Gi' }
}
var places = concat(
  [{ name: '${prefix}-analyse', size: sizes[gpu] }],
  gpu == 'none' ? [] : [{ name: '${prefix}-analyse-cpu', size: sizes.none }]
)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource place 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: '${prefix}-jobs'
  location: location
  tags: tags
  properties: {
    zoneRedundant: zoneRedundant
    appLogsConfiguration: { destination: 'azure-monitor' }
    vnetConfiguration: empty(subnetId) ? null : { infrastructureSubnetId: subnetId, internal: true }
    publicNetworkAccess: empty(subnetId) ? 'Enabled' : 'Disabled'
    workloadProfiles: concat(
      [{ name: 'Consumption', workloadProfileType: 'Consumption' }],
      gpu == 'none' ? [] : [{ name: sizes[gpu].profile, workloadProfileType: sizes[gpu].type }]
    )
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: place
  name: 'operations'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'ContainerAppConsoleLogs', enabled: true }
      { category: 'ContainerAppSystemLogs', enabled: true }
    ]
  }
}

resource job 'Microsoft.App/jobs@2025-07-01' = [
  for item in places: {
    name: item.name
    location: location
    tags: tags
    identity: {
      type: 'UserAssigned'
      userAssignedIdentities: { '${identity.id}': {} }
    }
    properties: {
      environmentId: place.id
      workloadProfileName: item.size.profile
      configuration: {
        triggerType: 'Manual'
        manualTriggerConfig: { parallelism: 1, replicaCompletionCount: 1 }
        replicaTimeout: 3600
        // A message that failed comes back by its visibility, and the watchdog starts the job again.
        replicaRetryLimit: 0
        registries: empty(registryServer) ? [] : [{ server: registryServer, identity: identity.id }]
      }
      template: {
        containers: [
          {
            name: 'analyse'
            image: image
            resources: { cpu: item.size.cpu, memory: item.size.memory }
            env: concat(
              map(items(settings), item => { name: item.key, value: item.value }),
              [{ name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }]
            )
          }
        ]
      }
    }
  }
]

@description('Resource id of the job.')
output id string = job[0].id
@description('Name of the job.')
output name string = job[0].name
@description('Resource id of the job that stands in for it; empty for none.')
output fallbackId string = gpu == 'none' ? '' : job[1].id
