using 'main.bicep'

import { hospital } from 'modules/profiles.bicep'

// zoneRedundant: true costs two always-ready instances per app and triggers group: see docs/operator/cost.md.
param profile = hospital
param environmentName = 'hospital'
param clinics = [
  {
    id: 'radiology'
    name: 'Department of Radiology'
    radiologist: 'on.call@example.org'
    escalation: 'head.of.radiology@example.org'
  }
  { id: 'emergency', name: 'Emergency Department', radiologist: 'on.call@example.org' }
]
param entraClientId = readEnvironmentVariable('READFIRST_ENTRA_CLIENT_ID', '00000000-0000-0000-0000-000000000000')
param readers = [
  { group: '00000000-0000-0000-0000-000000000022', roles: ['radiologist'], clinics: ['*'] }
]
param operatorsGroupId = readEnvironmentVariable('READFIRST_OPERATORS_GROUP', '00000000-0000-0000-0000-0000000000aa')
param recoverVault = readEnvironmentVariable('READFIRST_RECOVER_VAULT', 'no') == 'yes'
param alertEmail = 'operator@example.org'
param monthlyBudget = 1500
param budgetStart = readEnvironmentVariable('READFIRST_BUDGET_START', '2026-11-01')
param jobImage = readEnvironmentVariable('READFIRST_JOB_IMAGE', 'ghcr.io/readfirst/readfirst-model:0.1.0')
param jobImageReady = readEnvironmentVariable('READFIRST_IMAGE_READY', '') == jobImage
param emailDomain = 'alerts.example.org'
param emailDomainVerified = readEnvironmentVariable('READFIRST_EMAIL_DOMAIN_VERIFIED', 'no') == 'yes'
// The platform takes Locked only for an account that had Unlocked before: the preprovision hook sets it at first.
param auditImmutability = readEnvironmentVariable('READFIRST_AUDIT_IMMUTABILITY', 'Locked') == 'Locked'
  ? 'Locked'
  : 'Unlocked'
