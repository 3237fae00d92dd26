"""Verifying codecs: is a wasm file what it says it is, and does it behave?

structure   what can be said before it is called: valid, imports, exports, signature
examples    finding calls that it answers
ports       whether the signature tells the truth
data        golden vectors, round trips, the same bytes again and from the other form
hostile     bad input
endurance   the same answers and the same memory after many calls
wasm        all of that for one file
folder      for the files in a folder
attested    who made a codec and of what, as attestations, a policy and provenance have it
report      what was found

Nothing of a codec is trusted. What a file holds, however wrong, is an outcome in the report.
"""

from chonkle_toolchain.guest import LIMITS
from chonkle_toolchain.verify.folder import find_store, verify_file, verify_folder
from chonkle_toolchain.verify.report import Check, Report
from chonkle_toolchain.verify.wasm import verify_wasm

__all__ = [
    "LIMITS",
    "Check",
    "Report",
    "find_store",
    "verify_file",
    "verify_folder",
    "verify_wasm",
]
