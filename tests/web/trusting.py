"""``python trusting.py FOLDER CA``: tells the certificate store of a home folder to trust an authority, as a city's
administrator would with certutil. Chromium reads that store by NSS, whose library comes with it.

On its own, and importing nothing of ours: it may be run by the loader that an unpacked Chromium brings.
"""

from __future__ import annotations

import base64
import ctypes
import sys
from pathlib import Path


class Item(ctypes.Structure):
    _fields_ = (("type", ctypes.c_uint), ("data", ctypes.c_char_p), ("len", ctypes.c_uint))


class Trust(ctypes.Structure):
    _fields_ = (("ssl", ctypes.c_uint), ("email", ctypes.c_uint), ("signing", ctypes.c_uint))


def main(folder: Path, authority: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nss = ctypes.CDLL("libnss3.so")
    for name in ("CERT_GetDefaultCertDB", "CERT_NewTempCertificate", "PK11_GetInternalKeySlot"):
        getattr(nss, name).restype = ctypes.c_void_p
    lines = authority.read_text("ascii").split("-----END")[0].splitlines()
    der = base64.b64decode("".join(line for line in lines if not line.startswith("-----")))

    def done(result: int) -> None:
        if result:
            raise SystemExit(f"NSS refused: {nss.PORT_GetError()}")

    done(nss.NSS_InitReadWrite(f"sql:{folder}".encode()))
    known, slot = ctypes.c_void_p(nss.CERT_GetDefaultCertDB()), ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    item, trust = Item(0, der, len(der)), Trust()
    its = ctypes.c_void_p(nss.CERT_NewTempCertificate(known, ctypes.byref(item), None, 0, 1))
    done(nss.PK11_InitPin(slot, None, b""))
    done(nss.PK11_ImportCert(slot, its, 0, b"1551", 0))
    done(nss.CERT_DecodeTrustString(ctypes.byref(trust), b"C,,"))
    done(nss.CERT_ChangeCertTrust(known, its, ctypes.byref(trust)))
    nss.NSS_Shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
