// Package trail says what an entry of the audit trail is and turns published
// events into entries.
//
// Where entries come from and where they are kept does not belong here.
package trail
