using 'main.bicep'

import { clinic } from 'modules/profiles.bicep'

param profile = clinic
param environmentName = 'clinic'
param clinics = [
  { id: 'north', name: 'Clinic North', radiologist: 'radiology.north@example.org' }
  {
    id: 'south'
    name: 'Clinic South'
    radiologist: 'radiology.south@example.org'
    escalation: 'head.of.radiology@example.org'
  }
]
param entraClientId = readEnvironmentVariable('READFIRST_ENTRA_CLIENT_ID', '00000000-0000-0000-0000-000000000000')
param readers = [
  { group: '00000000-0000-0000-0000-000000000011', roles: ['radiologist'], clinics: ['*'] }
]
param operatorsGroupId = readEnvironmentVariable('READFIRST_OPERATORS_GROUP', '')
param recoverVault = readEnvironmentVariable('READFIRST_RECOVER_VAULT', 'no') == 'yes'
param alertEmail = 'operator@example.org'
param monthlyBudget = 150
param budgetStart = readEnvironmentVariable('READFIRST_BUDGET_START', '2026-11-01')
param jobImage = readEnvironmentVariable('READFIRST_JOB_IMAGE', 'ghcr.io/readfirst/readfirst-model:0.1.0')
param jobImageReady = readEnvironmentVariable('READFIRST_IMAGE_READY', '') == jobImage
