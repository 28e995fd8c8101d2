metadata description = 'Event Grid to queues: uploads and delivery reports wake intake, key and secret events the rotations. No webhook, no key, works privately.'

import { roleGuid } from 'types.bicep'

@description('Prefix of the names.')
param prefix string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Name of the uploads account.')
param uploadsAccount string
@description('Name of the studies account, which has the rotation queues.')
param studiesAccount string
@description('Name of the key vault.')
param vaultName string
@description('Name of the service that sends e-mails.')
param communicationName string
@description('Names of queues, containers and keys.')
param names object

resource uploads 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: uploadsAccount

  resource queues 'queueServices' existing = {
    name: 'default'

    resource arrivals 'queues' existing = {
      name: names.queues.uploadEvents
    }
  }

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource undelivered 'containers' existing = {
      name: names.containers.undelivered
    }
  }
}

resource studies 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: studiesAccount

  resource queues 'queueServices' existing = {
    name: 'default'

    resource rotation 'queues' existing = [
      for queue in [names.queues.intakeRotation, names.queues.identityRotation]: {
        name: queue
      }
    ]

    resource deliveries 'queues' existing = {
      name: names.queues.deliveries
    }
  }
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: communicationName
}

resource uploadTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: '${prefix}-uploads'
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' } // a user-assigned one cannot pass the storage firewall
  properties: {
    source: uploads.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource keyTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: '${prefix}-keys'
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: vault.id
    topicType: 'Microsoft.KeyVault.vaults'
  }
}

resource mailTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: '${prefix}-mail'
  location: 'global' // as its source is
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: communication.id
    topicType: 'Microsoft.Communication.CommunicationServices'
  }
}

resource maySendUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: uploads::queues::arrivals
  name: guid(uploads::queues::arrivals.id, uploadTopic.id)
  properties: {
    principalId: uploadTopic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('queueSender', resourceGroup().id)
    )
    description: 'Event Grid tells intake of new blobs.'
  }
}

resource mayKeepUndelivered 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: uploads::blobs::undelivered
  name: guid(uploads::blobs::undelivered.id, uploadTopic.id)
  properties: {
    principalId: uploadTopic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('blobContributor', resourceGroup().id)
    )
    description: 'Event Grid keeps events that it could not deliver.'
  }
}

resource maySendRotation 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for i in range(0, 2): {
    scope: studies::queues::rotation[i]
    name: guid(studies::queues::rotation[i].id, keyTopic.id)
    properties: {
      principalId: keyTopic.identity.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid('queueSender', resourceGroup().id)
      )
      description: 'Event Grid tells the rotations of new key versions and of secrets about to expire.'
    }
  }
]

resource maySendDeliveries 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: studies::queues::deliveries
  name: guid(studies::queues::deliveries.id, mailTopic.id)
  properties: {
    principalId: mailTopic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('queueSender', resourceGroup().id)
    )
    description: 'Event Grid tells intake what became of an e-mail.'
  }
}

resource arrived 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: uploadTopic
  name: 'arrived'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: uploads.id
          queueName: names.queues.uploadEvents
          queueMessageTimeToLiveInSeconds: 604800
        }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: uploads.id
          blobContainerName: names.containers.undelivered
        }
      }
    }
    filter: {
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      subjectBeginsWith: '/blobServices/default/containers/clinic-'
      // One upload raises several events: only those after which the blob is whole count.
      advancedFilters: [
        {
          operatorType: 'StringIn'
          key: 'data.api'
          values: ['PutBlob', 'PutBlockList', 'CopyBlob', 'FlushWithClose']
        }
      ]
    }
    retryPolicy: { eventTimeToLiveInMinutes: 1440, maxDeliveryAttempts: 30 }
  }
  dependsOn: [maySendUploads, mayKeepUndelivered]
}

// A lost event costs a day, not a rotation: a daily timer looks at key versions and expiry dates itself.
resource rotations 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [
  for item in [
    {
      name: 'intake'
      queue: names.queues.intakeRotation
      types: [
        'Microsoft.KeyVault.KeyNewVersionCreated'
        'Microsoft.KeyVault.KeyNearExpiry'
        'Microsoft.KeyVault.SecretNearExpiry'
        'Microsoft.KeyVault.SecretExpired'
      ]
      subjects: [names.keys.pseudonym, names.secrets.receiptKey]
    }
    {
      name: 'identity'
      queue: names.queues.identityRotation
      types: ['Microsoft.KeyVault.KeyNewVersionCreated', 'Microsoft.KeyVault.KeyNearExpiry']
      subjects: [names.keys.identity]
    }
  ]: {
    parent: keyTopic
    name: item.name
    properties: {
      eventDeliverySchema: 'EventGridSchema'
      deliveryWithResourceIdentity: {
        identity: { type: 'SystemAssigned' }
        destination: {
          endpointType: 'StorageQueue'
          properties: {
            resourceId: studies.id
            queueName: item.queue
            queueMessageTimeToLiveInSeconds: 604800
          }
        }
      }
      filter: {
        includedEventTypes: item.types
        advancedFilters: [{ operatorType: 'StringIn', key: 'subject', values: item.subjects }]
      }
      retryPolicy: { eventTimeToLiveInMinutes: 1440, maxDeliveryAttempts: 30 }
    }
    dependsOn: [maySendRotation]
  }
]

// A lost report costs an hour: an alert of which nothing is known goes out again.
resource deliveries 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: mailTopic
  name: 'deliveries'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: studies.id
          queueName: names.queues.deliveries
          queueMessageTimeToLiveInSeconds: 604800
        }
      }
    }
    filter: { includedEventTypes: ['Microsoft.Communication.EmailDeliveryReportReceived'] }
    retryPolicy: { eventTimeToLiveInMinutes: 1440, maxDeliveryAttempts: 30 }
  }
  dependsOn: [maySendDeliveries]
}
