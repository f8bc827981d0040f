"""What is known about a network of the reader's own: `examine`, and its report in three forms; `certify`.

`network_file` and `image_files` load what the reader names, `ready` makes it fit each other; `measure`
makes the table, one row an image; `on_kinks` says where kinks come from; `applicable`, which statements of
the ledger speak of the network; `report` puts it all into one object, which `terminal` and `page` show.
`certification`: the distance to the nearest mistake as an interval.
"""

from regrob.examination.certification import Certification, certify
from regrob.examination.image_files import LabelledImages
from regrob.examination.network_file import load_network
from regrob.examination.report import Examination, examine

__all__ = ["Certification", "Examination", "LabelledImages", "certify", "examine", "load_network"]
