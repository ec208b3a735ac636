module nexus.internal/cmd/nexus

go 1.26.0

require (
	nexus.internal/libs v0.0.0
	nexus.internal/migrations v0.0.0
	nexus.internal/services/audit v0.0.0
	nexus.internal/services/auth v0.0.0
	nexus.internal/services/corpus v0.0.0
	nexus.internal/services/gateway v0.0.0
	nexus.internal/services/jobs v0.0.0
	nexus.internal/services/plugins v0.0.0
)

replace (
	nexus.internal/libs => ../../libs
	nexus.internal/migrations => ../../migrations
	nexus.internal/services/audit => ../../services/audit
	nexus.internal/services/auth => ../../services/auth
	nexus.internal/services/corpus => ../../services/corpus
	nexus.internal/services/gateway => ../../services/gateway
	nexus.internal/services/jobs => ../../services/jobs
	nexus.internal/services/plugins => ../../services/plugins
)
