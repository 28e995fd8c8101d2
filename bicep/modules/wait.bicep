metadata description = 'Nothing: a step that takes the platform some seconds.'
