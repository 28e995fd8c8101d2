metadata description = 'Readfirst in one resource group: stores, keys, three Functions apps, the job, events, e-mail, portal, watch and budget.'

import { Clinic, CustomerKey, Network, Profile, ReaderGroup } from 'modules/types.bicep'

@description('Name of the deployment, part of every resource\'s name: small letters, digits, single inner hyphens. A job\'s name holds 32 characters.')
@minLength(2)
@maxLength(10)
param environmentName string

@description('Region. GPUs are offered in some only: the preprovision hook checks.')
param location string = resourceGroup().location

@description('What it may cost and how closed it is.')
param profile Profile

@description('The clinics that send.')
@minLength(1)
param clinics Clinic[]

@description('Clinics whose shared access signatures shall stop working.')
param suspendedClinics string[] = []

@description('Client id of the Entra application that readers sign in to (the preprovision hook makes it).')
param entraClientId string

@description('What membership of an Entra group gives: roles and clinics (* for every clinic).')
param readers ReaderGroup[] = []

@description('Object id of the Entra group that issues shared access signatures to clinics; empty for none.')
param operatorsGroupId string = ''

@description('Who is told of alerts and of the budget.')
param alertEmail string

@description('Amount of the month\'s budget in the currency of the bill.')
param monthlyBudget int

@description('First day of the month of the first deployment (yyyy-MM-01). A budget\'s start cannot change: bicep/hooks/already.py finds it.')
param budgetStart string

@description('Image of the job, with its public registry. A profile with a registry of its own pulls it from there, by the same repository and tag.')
param jobImage string

@description('The registry of one\'s own holds the image (bicep/hooks/image.py imports it). Until then the job has a small public image in its place.')
param jobImageReady bool = false

@description('A vault of this name was deleted and is kept by purge protection: bring it back instead of making it.')
param recoverVault bool = false

@description('Region of the portal\'s control plane.')
@allowed(['centralus', 'eastus2', 'westus2', 'westeurope', 'eastasia'])
param portalLocation string = 'westeurope'

@description('Where the e-mail service keeps its data.')
param emailDataLocation string = 'Europe'

@description('An e-mail domain of one\'s own; empty for Azure\'s, which sends 10 messages an hour.')
param emailDomain string = ''

@description('The DNS records of the domain are verified; Azure\'s domain sends until then.')
param emailDomainVerified bool = false

@description('Days that an original outlives its success.')
@minValue(1)
param originalDays int = 30

@description('Locked: nobody, Microsoft included, can shorten the audit\'s days. Needs a first deployment with Unlocked.')
param auditImmutability ('Unlocked' | 'Locked') = 'Unlocked'

@description('Address space of the private network, /23 or wider.')
param networkPrefix string = '10.42.0.0/23'

@description('Public address ranges (CIDR) of clinics and readers that may reach uploads, images and apps besides the private network.')
param allowedRanges string[] = []

var shared = loadJsonContent('names.json')
var suffix = uniqueString(subscription().id, resourceGroup().id, environmentName)
var prefix = 'readfirst-${environmentName}'
var tags = {
  product: 'readfirst'
  environment: environmentName
  profile: profile.name
  'azd-env-name': environmentName
}
var apps = ['intake', 'api', 'identity']
var hosts = { intake: 'hostIntake', api: 'hostApi', identity: 'hostIdentity' }
var customerKeyName = profile.customerKeys ? 'storage-key' : ''

// One place for every name that modules find each other by.
var names = union(shared, {
  hosts: hosts
  accounts: {
    uploads: 'rfup${suffix}'
    studies: 'rfst${suffix}'
    vault: 'rfva${suffix}'
    audit: 'rfau${suffix}'
    hostIntake: 'rfhi${suffix}'
    hostApi: 'rfha${suffix}'
    hostIdentity: 'rfhd${suffix}'
  }
  identities: {
    intake: '${prefix}-intake'
    api: '${prefix}-api'
    identity: '${prefix}-identity'
    job: '${prefix}-job'
  }
  encryptionIdentity: '${prefix}-encryption'
  vault: 'rfkv${suffix}'
  registry: 'rfcr${suffix}'
  insights: '${prefix}-insights'
  communication: '${prefix}-mail-${suffix}'
  emailService: '${prefix}-email-${suffix}'
  job: '${prefix}-analyse'
})

var poison = map(
  [
    shared.queues.inferenceResults
    shared.queues.commands
    shared.queues.returns
    shared.queues.erasures
    shared.queues.intakeRotation
    shared.queues.identityRotation
    shared.queues.deliveries
  ],
  queue => '${queue}-poison'
)

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    names: concat(
      map(items(names.identities), item => item.value),
      profile.customerKeys ? [names.encryptionIdentity] : []
    )
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    prefix: prefix
    location: location
    tags: tags
    logCapGb: profile.logCapGb
    securityLogDays: profile.securityLogDays
    network: network
    zones: [...monitorZones, 'privatelink.blob.${environment().suffixes.storage}']
  }
  dependsOn: [privateNetwork]
}

var monitorZones = [
  'privatelink.monitor.azure.com'
  'privatelink.oms.opinsights.azure.com'
  'privatelink.ods.opinsights.azure.com'
  'privatelink.agentsvc.azure-automation.net'
]

module privateNetwork 'modules/network.bicep' = if (profile.privateNetwork) {
  name: 'network'
  params: {
    name: '${prefix}-network'
    location: location
    tags: tags
    addressPrefix: networkPrefix
    monitorZones: monitorZones
  }
}

// By name, not by output: a preview of changes can then see through it.
var subnetIds = toObject(
  ['intake', 'api', 'identity', 'job', 'endpoints'],
  name => name,
  name =>
    profile.privateNetwork ? resourceId('Microsoft.Network/virtualNetworks/subnets', '${prefix}-network', name) : ''
)
var network Network = {
  private: profile.privateNetwork
  allowedRanges: allowedRanges
  endpointSubnetId: subnetIds.endpoints
}

module keyVault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  params: {
    name: names.vault
    location: location
    tags: tags
    keys: [names.keys.identity, names.keys.pseudonym]
    customerKeyName: customerKeyName
    recover: recoverVault
    network: network
    securityWorkspaceId: monitoring.outputs.securityId
  }
  dependsOn: [privateNetwork]
}

module encryptionAccess 'modules/encryption-access.bicep' = if (profile.customerKeys) {
  name: 'encryption-access'
  params: {
    vaultName: names.vault
    keyName: customerKeyName
    identityName: names.encryptionIdentity
  }
  dependsOn: [keyVault, identities]
}

// A role needs minutes until storage and Cosmos DB see it, and both are refused without it. Each step below is a
// deployment of nothing, one after the other.
@batchSize(1)
module encryptionWait 'modules/wait.bicep' = [
  for i in range(0, profile.customerKeys ? 24 : 0): {
    name: 'encryption-wait-${i}'
    dependsOn: [encryptionAccess]
  }
]

var customerKey CustomerKey = {
  identityId: profile.customerKeys
    ? resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', names.encryptionIdentity)
    : ''
  vaultUri: profile.customerKeys ? keyVault.outputs.uri : ''
  keyName: customerKeyName
}

module portal 'modules/portal.bicep' = {
  name: 'portal'
  params: {
    name: '${prefix}-portal'
    location: portalLocation
    tags: tags
    plan: profile.portal
  }
}

module uploads 'modules/storage.bicep' = {
  name: 'uploads'
  params: {
    name: names.accounts.uploads
    location: location
    tags: tags
    containers: concat(
      [
        names.containers.originals
        names.containers.arrivals
        names.containers.quarantine
        names.containers.undelivered
      ],
      flatten(map(clinics, clinic => [
        '${names.prefixes.inbox}${clinic.id}'
        '${names.prefixes.results}${clinic.id}'
      ]))
    )
    queues: [names.queues.uploadEvents, '${names.queues.uploadEvents}-poison']
    zoneRedundant: profile.zoneRedundant
    softDeleteDays: profile.softDeleteDays
    corsOrigins: [portal.outputs.url]
    corsMethods: ['PUT']
    lifecycle: [
      {
        name: 'originals-after-success'
        type: 'Lifecycle'
        enabled: true
        definition: {
          filters: {
            blobTypes: ['blockBlob']
            prefixMatch: ['${names.containers.originals}/']
            blobIndexMatch: [{ name: names.done.tag, op: '==', value: names.done.value }]
          }
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: originalDays } } }
        }
      }
      {
        name: 'undelivered-events'
        type: 'Lifecycle'
        enabled: true
        definition: {
          filters: { blobTypes: ['blockBlob'], prefixMatch: ['${names.containers.undelivered}/'] }
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 30 } } }
        }
      }
    ]
    network: network
    reachable: true
    endpoints: ['blob', 'queue']
    customerKey: customerKey
  }
  dependsOn: [privateNetwork, encryptionWait]
}

module studies 'modules/storage.bicep' = {
  name: 'studies'
  params: {
    name: names.accounts.studies
    location: location
    tags: tags
    containers: [
      names.containers.clean
      names.containers.analysis
      names.containers.reviews
      names.containers.modelChanges
    ]
    queues: concat(
      [
        names.queues.inferenceRequests
        names.queues.statInferenceRequests
        names.queues.inferenceResults
        names.queues.commands
        names.queues.returns
        names.queues.erasures
        names.queues.intakeRotation
        names.queues.identityRotation
        names.queues.deliveries
      ],
      poison
    )
    zoneRedundant: profile.zoneRedundant
    softDeleteDays: profile.softDeleteDays
    corsOrigins: [portal.outputs.url]
    network: network
    reachable: true
    endpoints: ['blob', 'queue']
    customerKey: customerKey
  }
  dependsOn: [privateNetwork, encryptionWait]
}

module vault 'modules/storage.bicep' = {
  name: 'vault'
  params: {
    name: names.accounts.vault
    location: location
    tags: tags
    containers: [names.containers.identities, names.containers.doors]
    zoneRedundant: profile.zoneRedundant
    softDeleteDays: profile.softDeleteDays
    network: network
    customerKey: customerKey
    diagnostics: {
      workspaceId: monitoring.outputs.securityId
      categories: ['StorageRead', 'StorageWrite', 'StorageDelete']
    }
  }
  dependsOn: [privateNetwork, encryptionWait]
}

resource vaultAccount 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: names.accounts.vault
}

resource vaultLock 'Microsoft.Authorization/locks@2020-05-01' = {
  scope: vaultAccount
  name: 'keep'
  properties: {
    level: 'CanNotDelete'
    notes: 'Without it nobody can say whose a study is.'
  }
  dependsOn: [vault]
}

module audit 'modules/storage.bicep' = {
  name: 'audit'
  params: {
    name: names.accounts.audit
    location: location
    tags: tags
    containers: map(apps, app => '${names.prefixes.audit}${app}')
    zoneRedundant: profile.zoneRedundant
    softDeleteDays: profile.softDeleteDays
    versioning: true
    immutableDays: profile.auditDays
    immutability: auditImmutability
    network: network
    customerKey: customerKey
  }
  dependsOn: [privateNetwork, encryptionWait]
}

module host 'modules/storage.bicep' = [
  for app in apps: {
    name: 'host-${app}'
    params: {
      name: names.accounts[hosts[app]]
      location: location
      tags: tags
      containers: ['app-package']
      zoneRedundant: profile.zoneRedundant
      softDeleteDays: 0
      network: network
      // Only Durable Functions needs queues and tables of its own.
      endpoints: app == 'intake' ? ['blob', 'queue', 'table'] : ['blob']
      customerKey: customerKey
    }
    dependsOn: [privateNetwork, encryptionWait]
  }
]

module cosmos 'modules/cosmos.bicep' = {
  name: 'cosmos'
  params: {
    name: 'rfdb${suffix}'
    location: location
    tags: tags
    database: names.cosmos.database
    container: names.cosmos.studies
    indexing: names.cosmos.indexing
    zoneRedundant: profile.zoneRedundant
    network: network
    customerKey: customerKey
    writers: [names.identities.intake]
    updaters: [names.identities.api, names.identities.identity]
  }
  dependsOn: [privateNetwork, identities, encryptionWait]
}

module email 'modules/email.bicep' = {
  name: 'email'
  params: {
    name: names.communication
    emailName: names.emailService
    tags: tags
    dataLocation: emailDataLocation
    domainName: emailDomain
    domainVerified: emailDomainVerified
  }
}

module registry 'modules/registry.bicep' = if (profile.registry != 'none') {
  name: 'registry'
  params: {
    name: names.registry
    location: location
    tags: tags
    plan: profile.registry == 'Premium' ? 'Premium' : 'Basic'
    zoneRedundant: profile.zoneRedundant
    network: network
  }
  dependsOn: [privateNetwork]
}

module access 'modules/access.bicep' = {
  name: 'access'
  params: {
    names: names
    clinics: clinics
    suspendedClinics: suspendedClinics
    operatorsGroupId: operatorsGroupId
    hasRegistry: profile.registry != 'none'
  }
  dependsOn: [identities, monitoring, keyVault, uploads, studies, vault, audit, host, email, registry]
}

var registryServer = registry.?outputs.loginServer ?? ''
// A job is refused whose image is not there, and the registry is empty when it has just been made.
var placeholder = 'mcr.microsoft.com/k8se/quickstart-jobs:latest'
var ownImage = jobImageReady ? '${registryServer}/${last(split(jobImage, '/'))}' : placeholder

module job 'modules/job.bicep' = {
  name: 'job'
  params: {
    prefix: prefix
    location: location
    tags: tags
    gpu: profile.gpu
    image: profile.registry == 'none' ? jobImage : ownImage
    registryServer: registryServer
    identityName: names.identities.job
    settings: {
      STUDIES__blobServiceUri: studies.outputs.blobUri
      STUDIES__queueServiceUri: studies.outputs.queueUri
      IDLE_SECONDS: '60'
    }
    zoneRedundant: profile.zoneRedundant && profile.privateNetwork // the platform asks for a network of one's own
    subnetId: subnetIds.job
    workspaceId: monitoring.outputs.operationsId
  }
  dependsOn: [privateNetwork, access]
}

module jobAccess 'modules/job-access.bicep' = {
  name: 'job-access'
  params: {
    jobNames: profile.gpu == 'none' ? [names.job] : [names.job, '${names.job}-cpu']
    starterName: names.identities.intake
  }
  dependsOn: [job]
}

// Each app gets the addresses of what it may reach and no other.
var stores = {
  uploads: { name: 'UPLOADS', blobUri: uploads.outputs.blobUri, queueUri: uploads.outputs.queueUri }
  studies: { name: 'STUDIES', blobUri: studies.outputs.blobUri, queueUri: studies.outputs.queueUri }
  vault: { name: 'VAULT', blobUri: vault.outputs.blobUri }
  audit: { name: 'AUDIT', blobUri: audit.outputs.blobUri }
}
var clinicList = string(clinics)
var issuer = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'

module intake 'modules/function-app.bicep' = {
  name: 'intake'
  params: {
    app: 'intake'
    name: '${prefix}-intake-${suffix}'
    hostAccount: names.accounts.hostIntake
    location: location
    tags: tags
    identityName: names.identities.intake
    stores: [stores.uploads, stores.studies, stores.vault, stores.audit]
    settings: {
      CLINICS: clinicList
      PORTAL_URL: portal.outputs.url
      COSMOS_ENDPOINT: cosmos.outputs.endpoint
      COSMOS_DATABASE: names.cosmos.database
      KEY_VAULT_URI: keyVault.outputs.uri
      JOB_RESOURCE_ID: job.outputs.id
      FALLBACK_JOB_RESOURCE_ID: job.outputs.fallbackId
      EMAIL_ENDPOINT: email.outputs.endpoint
      EMAIL_SENDER: email.outputs.sender
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__partitionCount: string(profile.partitionCount)
    }
    corsOrigins: []
    memoryMB: 2048
    maximumInstances: 40
    zoneRedundant: profile.zoneRedundant
    network: network
    subnetId: subnetIds.intake
    insightsConnectionString: monitoring.outputs.connectionString
  }
  dependsOn: [privateNetwork, access]
}

module api 'modules/function-app.bicep' = {
  name: 'api'
  params: {
    app: 'api'
    name: '${prefix}-api-${suffix}'
    hostAccount: names.accounts.hostApi
    location: location
    tags: tags
    identityName: names.identities.api
    stores: [stores.studies, stores.audit]
    settings: {
      CLINICS: clinicList
      PORTAL_URL: portal.outputs.url
      COSMOS_ENDPOINT: cosmos.outputs.endpoint
      COSMOS_DATABASE: names.cosmos.database
      OIDC_ISSUER: issuer
      OIDC_AUDIENCE: entraClientId
      ACCESS: string(readers)
      COST_PROFILE: profile.name
    }
    corsOrigins: [portal.outputs.url]
    memoryMB: 2048
    maximumInstances: 40
    zoneRedundant: profile.zoneRedundant
    network: network
    subnetId: subnetIds.api
    insightsConnectionString: monitoring.outputs.connectionString
  }
  dependsOn: [privateNetwork, access]
}

module identityApp 'modules/function-app.bicep' = {
  name: 'identity'
  params: {
    app: 'identity'
    name: '${prefix}-identity-${suffix}'
    hostAccount: names.accounts.hostIdentity
    location: location
    tags: tags
    identityName: names.identities.identity
    stores: [stores.uploads, stores.studies, stores.vault, stores.audit]
    settings: {
      CLINICS: clinicList
      PORTAL_URL: portal.outputs.url
      COSMOS_ENDPOINT: cosmos.outputs.endpoint
      COSMOS_DATABASE: names.cosmos.database
      KEY_VAULT_URI: keyVault.outputs.uri
      OIDC_ISSUER: issuer
      OIDC_AUDIENCE: entraClientId
      ACCESS: string(readers)
    }
    corsOrigins: [portal.outputs.url]
    memoryMB: 2048
    maximumInstances: 40
    zoneRedundant: profile.zoneRedundant
    network: network
    subnetId: subnetIds.identity
    insightsConnectionString: monitoring.outputs.connectionString
  }
  dependsOn: [privateNetwork, access]
}

module events 'modules/events.bicep' = {
  name: 'events'
  params: {
    prefix: prefix
    location: location
    tags: tags
    uploadsAccount: names.accounts.uploads
    studiesAccount: names.accounts.studies
    vaultName: names.vault
    communicationName: names.communication
    names: shared
  }
  dependsOn: [uploads, studies, keyVault, email]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    prefix: prefix
    location: location
    tags: tags
    email: alertEmail
    logAlerts: profile.logAlerts
    insightsId: monitoring.outputs.insightsId
    operationsId: monitoring.outputs.operationsId
    securityId: monitoring.outputs.securityId
    vaultAccountId: vault.outputs.id
    keyVaultId: keyVault.outputs.id
    jobName: job.outputs.name
  }
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    name: '${prefix}-budget'
    amount: monthlyBudget
    startDate: budgetStart
    email: alertEmail
    actionGroupId: alerts.outputs.actionGroupId
  }
}

@description('Address of the portal.')
output PORTAL_URL string = portal.outputs.url
@description('Address of the app that readers\' browsers call.')
output API_URL string = api.outputs.url
@description('Address of the app that opens identities.')
output IDENTITY_URL string = identityApp.outputs.url
@description('Address of the uploads account: what readfirst sas signs for.')
output UPLOADS_URL string = uploads.outputs.blobUri
@description('Address of the key vault.')
output KEY_VAULT_URI string = keyVault.outputs.uri
@description('Name of the job.')
output JOB_NAME string = job.outputs.name
@description('Registry of the job\'s image; empty where it is public.')
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = registryServer
