// Package modality names the kinds of file a corpus holds and tells them apart
// by file extension.
//
// Reading a file or looking at its content does not belong here: the extension
// alone decides, so that the same path always has the same modality.
package modality
