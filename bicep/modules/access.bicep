metadata description = 'Who may do what: every role assignment of the apps, the job and the operators, as data with its reason.'

import { Clinic, roleGuid } from 'types.bicep'

@description('Names of identities, accounts, containers, queues, keys (see main.bicep).')
param names object
@description('The clinics.')
param clinics Clinic[]
@description('Clinics whose shared access signatures shall die: their signer loses the right that the signature borrows.')
param suspendedClinics string[]
@description('Object id of the Entra group that issues shared access signatures to clinics; empty for none.')
param operatorsGroupId string
@description('There is a registry of one\'s own.')
param hasRegistry bool

var inboxes = map(clinics, clinic => '${names.prefixes.inbox}${clinic.id}')
var results = map(clinics, clinic => '${names.prefixes.results}${clinic.id}')
var active = filter(clinics, clinic => !contains(suspendedClinics, clinic.id))
var apps = ['intake', 'api', 'identity']

// Accounts.
var accountGrants = concat(
  [
    { who: 'api', on: 'studies', role: 'blobDelegator', why: 'Signs addresses of pixels for the viewer.' }
    { who: 'identity', on: 'uploads', role: 'blobDelegator', why: 'Signs a clinic user\'s address to upload to.' }
    { who: 'intake', on: 'hostIntake', role: 'queueContributor', why: 'Durable Functions keeps its task hub here.' }
    { who: 'intake', on: 'hostIntake', role: 'tableContributor', why: 'Durable Functions keeps its task hub here.' }
  ],
  map(apps, app => {
    who: app
    on: names.hosts[app]
    role: 'blobOwner'
    why: 'The Functions host keeps its package, leases and keys here.'
  })
)

// Containers.
var containerGrants = concat(
  map([names.containers.originals, names.containers.arrivals, names.containers.quarantine], name => {
    who: 'intake'
    on: 'uploads'
    name: name
    role: 'blobContributor'
    why: 'Moves what arrives out of the clinic\'s reach and keeps the ledger.'
  }),
  map(inboxes, name => {
    who: 'intake'
    on: 'uploads'
    name: name
    role: 'blobContributor'
    why: 'Takes what arrives.'
  }),
  map(results, name => {
    who: 'intake'
    on: 'uploads'
    name: name
    role: 'blobContributor'
    why: 'Answers the clinic.'
  }),
  [
    {
      who: 'intake'
      on: 'uploads'
      name: names.containers.originals
      role: 'tagger'
      why: 'Tags an original that succeeded, so that it may lapse.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.containers.clean
      role: 'blobContributor'
      why: 'Writes clean copies, orders and receipts.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.containers.analysis
      role: 'blobContributor'
      why: 'Writes the report and the record.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.containers.reviews
      role: 'blobReader'
      why: 'Rebuilds the index from the truth.'
    }
    {
      who: 'intake'
      on: 'vault'
      name: names.containers.identities
      role: 'sealer'
      why: 'Seals identities; cannot open or even list them.'
    }
    { who: 'api', on: 'studies', name: names.containers.clean, role: 'blobReader', why: 'Shows images.' }
    { who: 'api', on: 'studies', name: names.containers.analysis, role: 'blobReader', why: 'Shows findings.' }
    {
      who: 'api'
      on: 'studies'
      name: names.containers.reviews
      role: 'appender'
      why: 'Appends sign-offs and corrections.'
    }
    {
      who: 'identity'
      on: 'studies'
      name: names.containers.analysis
      role: 'blobReader'
      why: 'Maps results back to the patient.'
    }
    {
      who: 'identity'
      on: 'studies'
      name: names.containers.reviews
      role: 'eraser'
      why: 'Erases the reviews of a study that must be forgotten; no writer of reviews can.'
    }
    {
      who: 'identity'
      on: 'vault'
      name: names.containers.identities
      role: 'blobContributor'
      why: 'Opens, re-wraps and erases identities.'
    }
    {
      who: 'identity'
      on: 'vault'
      name: names.containers.doors
      role: 'appender'
      why: 'Keeps who asked to see an identity; cannot change it.'
    }
    {
      who: 'identity'
      on: 'uploads'
      name: names.containers.quarantine
      role: 'blobReader'
      why: 'Shows the privacy officer what was kept back.'
    }
    {
      who: 'identity'
      on: 'studies'
      name: names.containers.modelChanges
      role: 'appender'
      why: 'Adds what two persons changed of the models that run; cannot change what was added.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.containers.modelChanges
      role: 'blobReader'
      why: 'Plans with the models that are active.'
    }
    {
      who: 'job'
      on: 'studies'
      name: names.containers.modelChanges
      role: 'blobReader'
      why: 'Runs only models that two persons activated.'
    }
    { who: 'job', on: 'studies', name: names.containers.clean, role: 'blobReader', why: 'Reads clean images.' }
    { who: 'job', on: 'studies', name: names.containers.analysis, role: 'blobContributor', why: 'Writes results.' }
  ],
  map(apps, app => {
    who: app
    on: 'audit'
    name: '${names.prefixes.audit}${app}'
    role: 'appender'
    why: 'Appends to its own audit chain.'
  }),
  map(['intake', 'identity'], app => {
    who: 'api'
    on: 'audit'
    name: '${names.prefixes.audit}${app}'
    role: 'blobReader'
    why: 'Shows the privacy officer the audit log.'
  }),
  map(active, clinic => {
    who: 'identity'
    on: 'uploads'
    name: '${names.prefixes.inbox}${clinic.id}'
    role: 'inboxSigner'
    why: 'Signs a clinic user\'s right to create, and to write the blocks of one name; can neither read nor list.'
  }),
  map(results, name => {
    who: 'identity'
    on: 'uploads'
    name: name
    role: 'blobContributor'
    why: 'Returns results to the clinic.'
  })
)

// Queues. A trigger must be able to put its message back, which takes Contributor; on its own queue only.
var queueGrants = concat(
  flatten(map(
    [
      { who: 'intake', on: 'uploads', name: names.queues.uploadEvents, why: 'Wakes when a blob has arrived.' }
      { who: 'intake', on: 'studies', name: names.queues.inferenceResults, why: 'Takes the job\'s answers.' }
      { who: 'intake', on: 'studies', name: names.queues.commands, why: 'Takes the readers\' commands.' }
      { who: 'intake', on: 'studies', name: names.queues.intakeRotation, why: 'Rotates its secrets.' }
      { who: 'intake', on: 'studies', name: names.queues.deliveries, why: 'Takes what became of its e-mails.' }
      { who: 'identity', on: 'studies', name: names.queues.returns, why: 'Takes studies whose results go home.' }
      { who: 'identity', on: 'studies', name: names.queues.erasures, why: 'Takes studies that must be forgotten.' }
      { who: 'identity', on: 'studies', name: names.queues.identityRotation, why: 'Re-wraps identities.' }
    ],
    trigger =>
      concat(
        [
          union(trigger, { role: 'queueContributor' })
          union(trigger, {
            name: '${trigger.name}-poison'
            role: 'queueSender'
            why: 'What fails for hours, or cannot be read, is parked.'
          })
        ],
        trigger.on == 'studies'
          ? [
              {
                who: 'api'
                on: 'studies'
                name: '${trigger.name}-poison'
                role: 'queueCounter'
                why: 'Shows operators how many messages are parked.'
              }
            ]
          : []
      )
  )),
  [
    {
      who: 'intake'
      on: 'studies'
      name: names.queues.inferenceRequests
      role: 'queueReader'
      why: 'Sees a request that the job left behind.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.queues.statInferenceRequests
      role: 'queueReader'
      why: 'Sees a stat request that the job left behind.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.queues.inferenceRequests
      role: 'queueSender'
      why: 'Asks for an analysis.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.queues.statInferenceRequests
      role: 'queueSender'
      why: 'Asks for a stat analysis.'
    }
    {
      who: 'job'
      on: 'studies'
      name: names.queues.inferenceRequests
      role: 'queueContributor'
      why: 'Drains its queue and puts back what failed.'
    }
    {
      who: 'job'
      on: 'studies'
      name: names.queues.statInferenceRequests
      role: 'queueContributor'
      why: 'Drains its stat queue first and puts back what failed.'
    }
    { who: 'job', on: 'studies', name: names.queues.inferenceResults, role: 'queueSender', why: 'Answers.' }
    {
      who: 'api'
      on: 'studies'
      name: names.queues.commands
      role: 'queueSender'
      why: 'Passes on acknowledgements and releases.'
    }
    { who: 'identity', on: 'studies', name: names.queues.commands, role: 'queueSender', why: 'Passes on erasures.' }
    {
      who: 'intake'
      on: 'studies'
      name: names.queues.returns
      role: 'queueSender'
      why: 'Says whose results can go home.'
    }
    {
      who: 'intake'
      on: 'studies'
      name: names.queues.erasures
      role: 'queueSender'
      why: 'Passes on what only identity can erase.'
    }
  ]
)

// Keys.
var keyGrants = [
  { who: 'intake', name: names.keys.identity, role: 'keyReader', why: 'Seals with the public half.' }
  {
    who: 'intake'
    name: names.keys.pseudonym
    role: 'keyUnwrapper'
    why: 'Unwraps the root pseudonym secret; nobody else may.'
  }
  { who: 'identity', name: names.keys.identity, role: 'keyUnwrapper', why: 'Opens identities and re-wraps them.' }
]

// Operators sign what clinics get. A signature can never do more than its signer may at that moment.
var operatorGrants = concat(
  map(active, clinic => {
    name: '${names.prefixes.inbox}${clinic.id}'
    role: 'blobContributor'
    why: 'Signs the clinic\'s right to create and list.'
  }),
  map(active, clinic => {
    name: '${names.prefixes.results}${clinic.id}'
    role: 'blobReader'
    why: 'Signs the clinic\'s right to read and list.'
  })
)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = [
  for who in items(names.identities): {
    name: who.value
  }
]
var who = map(items(names.identities), item => item.key)

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = [
  for grant in accountGrants: {
    name: names.accounts[grant.on]
  }
]

resource onAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in accountGrants: {
    scope: account[i]
    name: guid(account[i].id, names.identities[grant.who], grant.role)
    properties: {
      principalId: identity[indexOf(who, grant.who)].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid(grant.role, resourceGroup().id)
      )
      description: grant.why
    }
  }
]

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' existing = [
  for grant in containerGrants: {
    name: '${names.accounts[grant.on]}/default/${grant.name}'
  }
]

resource onContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in containerGrants: {
    scope: container[i]
    name: guid(container[i].id, names.identities[grant.who], grant.role)
    properties: {
      principalId: identity[indexOf(who, grant.who)].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid(grant.role, resourceGroup().id)
      )
      description: grant.why
    }
  }
]

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' existing = [
  for grant in queueGrants: {
    name: '${names.accounts[grant.on]}/default/${grant.name}'
  }
]

resource onQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in queueGrants: {
    scope: queue[i]
    name: guid(queue[i].id, names.identities[grant.who], grant.role)
    properties: {
      principalId: identity[indexOf(who, grant.who)].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid(grant.role, resourceGroup().id)
      )
      description: grant.why
    }
  }
]

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: names.vault
}

resource key 'Microsoft.KeyVault/vaults/keys@2025-05-01' existing = [
  for grant in keyGrants: {
    parent: vault
    name: grant.name
  }
]

resource onKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in keyGrants: {
    scope: key[i]
    name: guid(key[i].id, names.identities[grant.who], grant.role)
    properties: {
      principalId: identity[indexOf(who, grant.who)].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid(grant.role, resourceGroup().id)
      )
      description: grant.why
    }
  }
]

// Both secrets are intake's: the wrapped root and the receipt-signing key. No other app has a secret.
resource onSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, names.identities.intake, 'rotator')
  properties: {
    principalId: identity[indexOf(who, 'intake')].properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('rotator', resourceGroup().id)
    )
    description: 'Reads its two secrets and writes their new versions.'
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: names.insights
}

resource onInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for app in apps: {
    scope: insights
    name: guid(insights.id, names.identities[app], 'metricsPublisher')
    properties: {
      principalId: identity[indexOf(who, app)].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid('metricsPublisher', resourceGroup().id)
      )
      description: 'Sends telemetry.'
    }
  }
]

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: names.communication
}

// The service honours no smaller role for sending: the widest grant here, on a resource that holds no data.
resource onEmail 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: communication
  name: guid(communication.id, names.identities.intake, 'emailSender')
  properties: {
    principalId: identity[indexOf(who, 'intake')].properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('emailSender', resourceGroup().id)
    )
    description: 'Sends the alert.'
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = if (hasRegistry) {
  name: names.registry
}

resource onRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (hasRegistry) {
  scope: registry
  name: guid(registry.id, names.identities.job, 'imagePuller')
  properties: {
    principalId: identity[indexOf(who, 'job')].properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('imagePuller', resourceGroup().id)
    )
    description: 'Pulls its image.'
  }
}

resource uploads 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: names.accounts.uploads
}

resource operatorSigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroupId)) {
  scope: uploads
  name: guid(uploads.id, operatorsGroupId, 'blobDelegator')
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('blobDelegator', resourceGroup().id)
    )
    description: 'Signs shared access signatures for clinics.'
  }
}

resource operatorContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' existing = [
  for grant in operatorGrants: {
    name: '${names.accounts.uploads}/default/${grant.name}'
  }
]

resource onOperatorContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in operatorGrants: if (!empty(operatorsGroupId)) {
    scope: operatorContainer[i]
    name: guid(operatorContainer[i].id, operatorsGroupId, grant.role)
    properties: {
      principalId: operatorsGroupId
      principalType: 'Group'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleGuid(grant.role, resourceGroup().id)
      )
      description: grant.why
    }
  }
]
