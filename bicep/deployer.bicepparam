using 'deployer.bicep'

param repository = readEnvironmentVariable('READFIRST_REPOSITORY', 'readfirst/readfirst')
