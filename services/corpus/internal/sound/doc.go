// Package sound reads how long WAV, MP3 and FLAC files play, and at what rate and
// in how many channels. It decodes no sound, and believes no header that the rest
// of the file contradicts.
package sound
