package storage

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"

	raw "google.golang.org/api/storage/v1"
)

// bucketName also keeps a name from leaving the server's directory.
// https://cloud.google.com/storage/docs/buckets#naming
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// bucket is one bucket's pack and the index of its objects by name.
type bucket struct {
	pack    *pack
	objects map[string]*object
}

func openBucket(path string) (*bucket, error) {
	p, objects, err := openPack(path)
	if err != nil {
		return nil, err
	}
	b := &bucket{pack: p, objects: make(map[string]*object, len(objects))}
	for _, o := range objects {
		// Two of a name: killed between the new one's commit and the old one's end.
		if old := b.objects[o.Name]; old != nil {
			if old.Generation > o.Generation {
				old, o = o, old
			}
			if err := p.kill(old.record); err != nil {
				return nil, err
			}
		}
		b.objects[o.Name] = o
	}
	return b, nil
}

func (s *Server) createBucket(name string) error {
	if !bucketName.MatchString(name) {
		return badRequest("Invalid bucket name: '%s'", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return errorf(http.StatusConflict, "conflict", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	b, err := openBucket(s.packPath(name))
	if err != nil {
		return fmt.Errorf("storage: bucket %s: %w", name, err)
	}
	s.buckets[name] = b
	return nil
}

// bucket finds a bucket; the caller holds mu.
func (s *Server) bucket(name string) (*bucket, error) {
	b := s.buckets[name]
	if b == nil {
		return nil, notFound("The specified bucket does not exist.")
	}
	return b, nil
}

func (s *Server) serveBuckets(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodPost:
		var want raw.Bucket
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMetadata)).Decode(&want); err != nil {
			return badRequest("bucket: %v", err)
		}
		if err := s.createBucket(want.Name); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, rawBucket(want.Name))
		return nil
	case http.MethodGet:
		s.mu.RLock()
		names := slices.Sorted(maps.Keys(s.buckets))
		s.mu.RUnlock()
		answer := raw.Buckets{Kind: "storage#buckets"}
		for _, name := range names {
			answer.Items = append(answer.Items, rawBucket(name))
		}
		writeJSON(w, http.StatusOK, &answer)
		return nil
	}
	return errorf(http.StatusNotImplemented, "notImplemented", "the local Cloud Storage does not serve %s of buckets", r.Method)
}

func (s *Server) getBucket(w http.ResponseWriter, name string) error {
	s.mu.RLock()
	_, err := s.bucket(name)
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, rawBucket(name))
	return nil
}

func rawBucket(name string) *raw.Bucket {
	return &raw.Bucket{
		Kind: "storage#bucket", Id: name, Name: name, Metageneration: 1,
		Location: "LOCAL", StorageClass: "STANDARD",
	}
}
