// Package observability holds how a running Nexus is watched: what Prometheus
// scrapes, the rules it alerts by, the board of Grafana and the traces of Tempo. Its
// tests load all of it as Prometheus does, and evaluate each rule.
//
// It is a module of its own because Prometheus takes minutes to compile, which the
// tests of the manifests need not wait for.
package observability
