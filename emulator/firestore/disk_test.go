package firestore

const childDir = "FIRESTORE_TEST_CHILD_DIR"

func writeForever(dir string) {}
