metadata description = 'The month\'s budget of the resource group. It alerts; it stops nothing.'

@description('Name of the budget.')
param name string
@description('Amount in the currency of the bill.')
param amount int
@description('First day of a month, not in the past when first deployed, and the same ever after.')
param startDate string
@description('Who is told.')
param email string
@description('Action group that is told.')
param actionGroupId string

var thresholds = [
  { name: 'half', percent: 50, type: 'Actual' }
  { name: 'most', percent: 80, type: 'Actual' }
  { name: 'all', percent: 100, type: 'Actual' }
  { name: 'forecast', percent: 100, type: 'Forecasted' }
]

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: startDate }
    notifications: toObject(thresholds, item => item.name, item => {
      enabled: true
      operator: 'GreaterThanOrEqualTo'
      threshold: item.percent
      thresholdType: item.type
      contactEmails: [email]
      contactGroups: [actionGroupId]
    })
  }
}
