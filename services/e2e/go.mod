module nexus.internal/services/e2e

go 1.26.0
