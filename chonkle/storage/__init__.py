"""What chonkle keeps on disk: installed codecs, and native code compiled from them."""
