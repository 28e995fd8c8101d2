metadata description = 'The types that the modules share, and the ids of roles.'

@export()
@description('What a deployment may cost and how closed it is. profiles.bicep has the three that are kept.')
type Profile = {
  @description('Name of the profile, for tags and for the cost model.')
  name: 'student' | 'clinic' | 'hospital'
  @description('GPU of the job: none runs the default model on CPU. With one, a job on CPUs stands in where there is no capacity.')
  gpu: 'none' | 'T4' | 'A100'
  @description('Registry of its own for the job\'s image; none pulls a public image.')
  registry: 'none' | 'Basic' | 'Premium'
  @description('Static Web App plan.')
  portal: 'Free' | 'Standard'
  @description('Private endpoints, VNet integration, public access off.')
  privateNetwork: bool
  @description('Customer-managed keys for storage and Cosmos DB. The registry holds images of programs, no data.')
  customerKeys: bool
  @description('Spread over availability zones.')
  zoneRedundant: bool
  @description('Log-search alert rules besides metric alerts.')
  logAlerts: bool
  @description('Control queues of the task hub. Each is polled; cannot be changed while runs are in flight.')
  partitionCount: int
  @description('GB a day into the operations workspace; -1 for no cap. Security logs are never capped.')
  logCapGb: int
  @description('Days that a deleted blob can be brought back; an erased record lapses after them.')
  softDeleteDays: int
  @description('Days that logs are kept in the security workspace.')
  securityLogDays: int
  @description('Days that audit records cannot be changed or removed by anyone.')
  auditDays: int
}

@export()
@description('One clinic of the clinic list.')
type Clinic = {
  @description('1 to 40 of a-z, 0-9 and single inner hyphens: names its containers.')
  @minLength(1)
  @maxLength(40)
  id: string
  @description('For people.')
  name: string
  @description('Who gets the e-mail when the risk is high.')
  radiologist: string
  @description('Who gets it when nobody acknowledged in time.')
  escalation: string?
  @description('Name of the secret in Key Vault that holds the https address of a second channel.')
  webhook: string?
}

@export()
@description('What membership of one Entra group gives (readfirst/domain/access/rules.py).')
type ReaderGroup = {
  @description('Object id of the group.')
  group: string
  @description('Roles in Readfirst.')
  roles: string[]
  @description('Ids of clinics; * for every clinic.')
  clinics: string[]
}

@export()
@description('How a store may be reached.')
type Network = {
  @description('Public access is off or limited to allowedRanges.')
  private: bool
  @description('Public address ranges (CIDR) that may reach what clinics and readers need; empty for none.')
  allowedRanges: string[]
  @description('Subnet of private endpoints; empty where there is none.')
  endpointSubnetId: string
}

@export()
@description('Customer-managed key; empty strings where the platform\'s own keys are used.')
type CustomerKey = {
  @description('Resource id of the identity that may wrap and unwrap with it.')
  identityId: string
  @description('URI of the key vault.')
  vaultUri: string
  @description('Name of the key.')
  keyName: string
}

@export()
@description('One diagnostic category group sent to a workspace.')
type Diagnostics = {
  @description('Resource id of the workspace.')
  workspaceId: string
  @description('Log categories.')
  categories: string[]
}

var roles = loadJsonContent('../roles.json')

@export()
@description('Name of a role definition: a built-in of roles.json, or one of our own (roles.bicep makes it for this resource group).')
func roleGuid(role string, groupId string) string =>
  contains(roles.builtIn, role) ? roles.builtIn[role].id : guid(groupId, role)
