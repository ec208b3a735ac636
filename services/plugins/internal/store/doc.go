// Package store keeps analysis runs and their layer outputs in the Postgres
// schema plugins. It is the only place of this service that knows SQL.
//
// Computing layers and deciding what a run holds do not belong here.
package store
