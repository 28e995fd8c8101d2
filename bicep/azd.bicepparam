using 'azd.bicep'

// azd fills AZURE_*; bicep/hooks/preprovision.py fills READFIRST_*. Change one with `azd env set NAME VALUE`.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'student')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
var profileName = readEnvironmentVariable('READFIRST_PROFILE', 'student')
param profile = profileName == 'hospital' ? 'hospital' : profileName == 'clinic' ? 'clinic' : 'student'
param clinics = json(readEnvironmentVariable(
  'READFIRST_CLINICS',
  '[{"id": "demo", "name": "Demo clinic", "radiologist": "radiologist@example.org"}]'
))
param entraClientId = readEnvironmentVariable('READFIRST_ENTRA_CLIENT_ID', '00000000-0000-0000-0000-000000000000')
param alertEmail = readEnvironmentVariable('READFIRST_ALERT_EMAIL', 'operator@example.org')
param monthlyBudget = int(readEnvironmentVariable('READFIRST_MONTHLY_BUDGET', '10'))
param budgetStart = readEnvironmentVariable('READFIRST_BUDGET_START', '2026-11-01')
param jobImage = readEnvironmentVariable('READFIRST_JOB_IMAGE', 'ghcr.io/readfirst/readfirst-model:0.1.0')
param jobImageReady = readEnvironmentVariable('READFIRST_IMAGE_READY', '') == jobImage
param recoverVault = readEnvironmentVariable('READFIRST_RECOVER_VAULT', 'no') == 'yes'
param readers = json(readEnvironmentVariable('READFIRST_ACCESS', '[]'))
param operatorsGroupId = readEnvironmentVariable('READFIRST_OPERATORS_GROUP', '')
param auditImmutability = readEnvironmentVariable('READFIRST_AUDIT_IMMUTABILITY', 'Unlocked') == 'Locked'
  ? 'Locked'
  : 'Unlocked'
param emailDomain = readEnvironmentVariable('READFIRST_EMAIL_DOMAIN', '')
param emailDomainVerified = readEnvironmentVariable('READFIRST_EMAIL_DOMAIN_VERIFIED', 'no') == 'yes'
param allowedRanges = json(readEnvironmentVariable('READFIRST_ALLOWED_RANGES', '[]'))
