"""Verifying codecs: is a wasm file what it says it is, and does it behave?

structure   what can be said before it is called: valid, imports, exports, signature
runner      running codecs under limits and a time budget
codec_under_test   the codec, its calls and their outcomes
round_trip  finding calls that it answers
ports       whether it keeps what its signature says of ports
declarations   whether it keeps what its signature declares of ranges, sizes and arrays
data        golden vectors, round trips, the same bytes again and from the other form
hostile     malformed input
endurance   the same answers and the same memory after many calls
checks      all of that for one file
folder      for the files in a folder
attested    attestations, policy and provenance
report      the outcomes

A codec is untrusted: whatever is wrong with a file is an outcome in the report.
"""

from chonkle_toolchain.direct_call import LIMITS
from chonkle_toolchain.verify.checks import verify_wasm
from chonkle_toolchain.verify.folder import find_store, verify_file, verify_folder
from chonkle_toolchain.verify.report import Check, Report

__all__ = [
    "LIMITS",
    "Check",
    "Report",
    "find_store",
    "verify_file",
    "verify_folder",
    "verify_wasm",
]
