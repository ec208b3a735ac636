// Package deploy holds what it takes to run Nexus elsewhere: the image, the
// Kubernetes manifests and a compose file. Its tests render all of them and
// check them against the program's own reference pages in docs/, and the workflow of
// .github against .ci/run.
//
// Code that runs in production does not belong here.
package deploy
