"""What an archive of evidence holds, and where: for those who write it and those who check it."""

FORMAT = 2
SUMS, CONTENTS, PICTURES, PARITY = "SHA256SUMS", "contents.json", "pictures.json", "parity.json"
OUTPUT, ATTACHED = "output", "attached"
