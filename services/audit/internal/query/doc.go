// Package query answers questions about the audit trail.
//
// Who may ask does not belong here: the door has decided that.
package query
