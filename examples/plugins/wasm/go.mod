module nexus.example/plugins/shout

go 1.26
