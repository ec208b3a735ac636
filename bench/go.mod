module nexus.internal/bench

go 1.26.0
