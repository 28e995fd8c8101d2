targetScope = 'subscription'

metadata description = 'What `azd up` deploys: the resource group, the role definitions of our own, and main.bicep in it.'

import { Clinic, ReaderGroup } from 'modules/types.bicep'
import { student, clinic, hospital } from 'modules/profiles.bicep'

@description('Name of the environment.')
@minLength(2)
@maxLength(10)
param environmentName string

@description('Region.')
param location string

@description('Which profile.')
param profile ('student' | 'clinic' | 'hospital')

@description('The clinics that send.')
param clinics Clinic[]

@description('Client id of the Entra application that readers sign in to.')
param entraClientId string

@description('Who is told of alerts and of the budget.')
param alertEmail string

@description('Amount of the month\'s budget in the currency of the bill.')
param monthlyBudget int

@description('First day of the month of the first deployment.')
param budgetStart string

@description('Image of the job, with its public registry.')
param jobImage string

@description('The registry of one\'s own holds the image.')
param jobImageReady bool

@description('A vault of this name was deleted: bring it back.')
param recoverVault bool

@description('What membership of an Entra group gives.')
param readers ReaderGroup[]

@description('Object id of the Entra group that issues shared access signatures to clinics; empty for none.')
param operatorsGroupId string

@description('Locked or Unlocked.')
param auditImmutability ('Unlocked' | 'Locked')

@description('An e-mail domain of one\'s own; empty for Azure\'s.')
param emailDomain string

@description('The DNS records of the domain are verified.')
param emailDomainVerified bool

@description('Public address ranges of clinics and readers (hospital).')
param allowedRanges string[]

var profiles = { student: student, clinic: clinic, hospital: hospital }

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-readfirst-${environmentName}'
  location: location
  tags: { product: 'readfirst', environment: environmentName, 'azd-env-name': environmentName }
}

module roles 'roles.bicep' = {
  name: 'readfirst-${environmentName}-roles'
  params: { groupName: group.name }
}

module main 'main.bicep' = {
  name: 'readfirst-${environmentName}'
  scope: group
  params: {
    environmentName: environmentName
    location: location
    profile: profiles[profile]
    clinics: clinics
    entraClientId: entraClientId
    alertEmail: alertEmail
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
    jobImage: jobImage
    jobImageReady: jobImageReady
    recoverVault: recoverVault
    readers: readers
    operatorsGroupId: operatorsGroupId
    auditImmutability: auditImmutability
    emailDomain: emailDomain
    emailDomainVerified: emailDomainVerified
    allowedRanges: allowedRanges
  }
  dependsOn: [roles]
}

@description('Resource group.')
output AZURE_RESOURCE_GROUP string = group.name
@description('Address of the portal.')
output PORTAL_URL string = main.outputs.PORTAL_URL
@description('Address of the app that readers\' browsers call.')
output API_URL string = main.outputs.API_URL
@description('Address of the app that opens identities.')
output IDENTITY_URL string = main.outputs.IDENTITY_URL
@description('Address of the uploads account.')
output UPLOADS_URL string = main.outputs.UPLOADS_URL
@description('Address of the key vault.')
output KEY_VAULT_URI string = main.outputs.KEY_VAULT_URI
@description('Name of the job.')
output JOB_NAME string = main.outputs.JOB_NAME
@description('Registry of the job\'s image; empty where it is public.')
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = main.outputs.AZURE_CONTAINER_REGISTRY_ENDPOINT
