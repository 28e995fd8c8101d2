targetScope = 'subscription'

metadata description = 'The role definitions of our own, for one resource group. Needs an owner once; later deployments do not.'

@description('Resource group in which they can be assigned.')
param groupName string

var custom = loadJsonContent('roles.json').custom
var groupId = '${subscription().id}/resourceGroups/${groupName}'

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for item in items(custom): {
    name: guid(groupId, item.key)
    properties: {
      roleName: '${item.value.name} (${groupName})'
      description: item.value.description
      type: 'CustomRole'
      assignableScopes: [groupId]
      permissions: [
        {
          actions: item.value.actions
          notActions: []
          dataActions: item.value.dataActions
          notDataActions: []
        }
      ]
    }
  }
]
