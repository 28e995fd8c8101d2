from readfirst.local.host.main import main

main()
