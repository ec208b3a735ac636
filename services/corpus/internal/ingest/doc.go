// Package ingest turns files of the corpus into documents: it reads a request,
// lists the files it stands for, decides what becomes of each and has that
// recorded.
//
// How a job reaches it belongs to package work, how files are found to package
// source, and what is stored to package store.
package ingest
