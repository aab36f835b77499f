//! Floor 2: text becomes chunks, vectors, full text and answers. Empty so far: the retrieval issue fills it. It may import
//! `engine` and `ledger`, never `ingest`: what the two share is the table `document`.
