using 'main.bicep'

import { student } from 'modules/profiles.bicep'

param profile = student
param environmentName = 'student'
param clinics = [
  { id: 'demo', name: 'Demo clinic', radiologist: 'radiologist@example.org' }
]
param entraClientId = readEnvironmentVariable('READFIRST_ENTRA_CLIENT_ID', '00000000-0000-0000-0000-000000000000')
param recoverVault = readEnvironmentVariable('READFIRST_RECOVER_VAULT', 'no') == 'yes'
param alertEmail = 'operator@example.org'
param monthlyBudget = 10
param budgetStart = readEnvironmentVariable('READFIRST_BUDGET_START', '2026-11-01')
param jobImage = readEnvironmentVariable('READFIRST_JOB_IMAGE', 'ghcr.io/readfirst/readfirst-model:0.1.0')
