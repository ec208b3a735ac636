// Package analyze runs analyze jobs: it reads the document, has its layers
// computed and keeps the run.
//
// How a layer is computed is in package layer, by whom in package plugin.
package analyze
