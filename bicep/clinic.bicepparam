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
param alertEmail = 'operator@example.org'
param monthlyBudget = 150
param jobImage = 'readfirst-model:0.1.0'
