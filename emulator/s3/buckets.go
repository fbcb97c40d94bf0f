package s3

import (
	"os"
	"path/filepath"
	"sort"

	"github.com/johannesboyne/gofakes3"
)

// ListBuckets implements gofakes3.Backend.
func (d *disk) ListBuckets() ([]gofakes3.BucketInfo, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []gofakes3.BucketInfo
	for name, b := range d.buckets {
		out = append(out, gofakes3.BucketInfo{Name: name, CreationDate: gofakes3.NewContentTime(b.created)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// CreateBucket implements gofakes3.Backend.
func (d *disk) CreateBucket(name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.buckets[name] != nil {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	dir := filepath.Join(d.dir, bucketsDir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	d.buckets[name] = &bucket{dir: dir, created: d.now(), objects: map[string]object{}}
	return nil
}

// BucketExists implements gofakes3.Backend.
func (d *disk) BucketExists(name string) (bool, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.buckets[name] != nil, nil
}

// DeleteBucket implements gofakes3.Backend: an empty bucket only.
func (d *disk) DeleteBucket(name string) error { return d.dropBucket(name, false) }

// ForceDeleteBucket implements gofakes3.Backend.
func (d *disk) ForceDeleteBucket(name string) error { return d.dropBucket(name, true) }

func (d *disk) dropBucket(name string, full bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.buckets[name]
	switch {
	case !ok:
		return gofakes3.BucketNotFound(name)
	case len(b.keys) > 0 && !full:
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	delete(d.buckets, name)
	return nil
}

// ListBucket implements gofakes3.Backend: keys in the order of their bytes,
// with those below a delimiter folded into one common prefix, by pages.
func (d *disk) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	b, ok := d.buckets[name]
	if !ok {
		return nil, gofakes3.BucketNotFound(name)
	}
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	out := gofakes3.NewObjectList()
	var match gofakes3.PrefixMatch
	folded, last, n := "", "", int64(0)
	for _, key := range b.keys[b.first(prefix, page):] {
		if !prefix.Match(key, &match) {
			if prefix.HasPrefix && key > prefix.Prefix && !hasPrefix(key, prefix.Prefix) {
				break
			}
			continue
		}
		if match.CommonPrefix && match.MatchedPart == folded {
			last = key // a marker within the group would repeat it on the next page
			continue
		}
		if page.MaxKeys > 0 && n == page.MaxKeys {
			out.IsTruncated, out.NextMarker = true, last
			break
		}
		if n++; match.CommonPrefix {
			folded = match.MatchedPart
			out.AddPrefix(folded)
		} else {
			o := b.objects[key]
			out.Add(&gofakes3.Content{Key: key, ETag: gofakes3.FormatETag(o.MD5), Size: o.Size, LastModified: gofakes3.NewContentTime(o.Modified)})
		}
		last = key
	}
	return out, nil
}

func hasPrefix(key, prefix string) bool {
	return len(key) >= len(prefix) && key[:len(prefix)] == prefix
}

// first is the place of the first key that the page may have.
func (b *bucket) first(prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) int {
	from := 0
	if prefix.HasPrefix {
		from = sort.SearchStrings(b.keys, prefix.Prefix)
	}
	if page.HasMarker {
		after := sort.Search(len(b.keys), func(i int) bool { return b.keys[i] > page.Marker })
		from = max(from, after)
	}
	return from
}
