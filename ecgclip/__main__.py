from ecgclip.cli.app import main

main()
