package storage

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"

	raw "google.golang.org/api/storage/v1"
)

// object is what the server keeps in memory of one object, and its pack as
// JSON. There may be a hundred thousand, hence not the API's own 700-byte struct.
type object struct {
	Name               string
	ContentType        string            `json:",omitempty"`
	ContentEncoding    string            `json:",omitempty"`
	ContentDisposition string            `json:",omitempty"`
	ContentLanguage    string            `json:",omitempty"`
	CacheControl       string            `json:",omitempty"`
	Metadata           map[string]string `json:",omitempty"`
	Size               int64
	CRC32C             uint32
	MD5                []byte
	Generation         int64
	Created            time.Time

	record record
}

// raw gives the object as the API describes it.
// https://cloud.google.com/storage/docs/json_api/v1/objects#resource
func (o *object) raw(bucket, base string) *raw.Object {
	created := o.Created.UTC().Format(time.RFC3339Nano)
	path := "/storage/v1/b/" + bucket + "/o/" + url.PathEscape(o.Name)
	return &raw.Object{
		Kind: "storage#object", Id: fmt.Sprintf("%s/%s/%d", bucket, o.Name, o.Generation),
		Bucket: bucket, Name: o.Name, Size: uint64(o.Size), StorageClass: "STANDARD",
		ContentType: o.ContentType, ContentEncoding: o.ContentEncoding,
		ContentDisposition: o.ContentDisposition, ContentLanguage: o.ContentLanguage,
		CacheControl: o.CacheControl, Metadata: o.Metadata,
		Crc32c: o.crc32c(), Md5Hash: base64.StdEncoding.EncodeToString(o.MD5),
		Generation: o.Generation, Metageneration: 1, Etag: o.etag(),
		TimeCreated: created, Updated: created, TimeStorageClassUpdated: created,
		SelfLink:  base + path,
		MediaLink: fmt.Sprintf("%s/download%s?generation=%d&alt=media", base, path, o.Generation),
	}
}

func (o *object) crc32c() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, o.CRC32C))
}

func (o *object) etag() string {
	return base64.StdEncoding.EncodeToString(binary.AppendVarint(nil, o.Generation))
}
