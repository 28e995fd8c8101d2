metadata description = 'The three profiles that are kept and tested. A parameter file picks one and may change a field of it.'

import { Profile } from 'types.bicep'

@export()
@description('A student\'s budget: nothing runs or is provisioned while no study comes; CPU job; public image; metric alerts only.')
var student Profile = {
  name: 'student'
  gpu: 'none'
  registry: 'none'
  portal: 'Free'
  privateNetwork: false
  customerKeys: false
  zoneRedundant: false
  logAlerts: false
  partitionCount: 1
  logCapGb: 1
  softDeleteDays: 7
  securityLogDays: 30
  auditDays: 7
}

@export()
@description('A clinic or small group: a GPU while studies run, a registry of its own, log alerts.')
var clinic Profile = {
  name: 'clinic'
  gpu: 'T4'
  registry: 'Basic'
  portal: 'Standard'
  privateNetwork: false
  customerKeys: false
  zoneRedundant: false
  logAlerts: true
  partitionCount: 2
  logCapGb: 2
  softDeleteDays: 7
  securityLogDays: 90
  auditDays: 365
}

@export()
@description('A hospital: private networking and customer-managed keys; audit records locked for ten years.')
var hospital Profile = {
  name: 'hospital'
  gpu: 'A100'
  registry: 'Premium'
  portal: 'Standard'
  privateNetwork: true
  customerKeys: true
  zoneRedundant: false
  logAlerts: true
  partitionCount: 4
  logCapGb: 10
  softDeleteDays: 7
  securityLogDays: 365
  auditDays: 3650
}
