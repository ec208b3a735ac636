// Package picture reads the size of PNG, JPEG and WebP images and tells whole
// files from broken ones. It unpacks no pixels, so that what an image claims to
// hold costs nothing.
package picture
