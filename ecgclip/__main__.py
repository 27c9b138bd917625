from ecgclip.cli import main

main()
