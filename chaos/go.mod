module nexus.internal/chaos

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	nexus.internal/libs v0.0.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace (
	nexus.internal/libs => ../libs
	nexus.internal/migrations => ../migrations
)
