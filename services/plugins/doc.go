// Package plugins is the plugin runner: a worker for analyze jobs, the plugins
// that compute analysis layers, and answers about both.
//
// The life of a job belongs to the jobs service, documents to the corpus service;
// this one meets them over NATS only.
package plugins
