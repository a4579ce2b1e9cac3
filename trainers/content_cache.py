"""A cache of the content features of real images, for data whose crops recur exactly.

Crops recur if the images are as large as the crop; each image then has two versions, itself and its mirror,
or eight if crops are also turned.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from datasets import sampling
from datasets.errors import UserError
from datasets.loader import TrainLoader
from datasets.upload import upload


class ContentCache:
    """Features by image, mirror and turn, on their device, computed when a batch first needs them.

    UserError if crops are drawn at random, or the data is streamed.
    """

    def __init__(self, loader: TrainLoader, features: Callable[[Tensor], Tensor]) -> None:
        data, rows = loader.data, loader.images.rows
        if data.mode != "cached" or any((r.height, r.width) != (data.crop_px, data.crop_px) for r in rows):
            raise UserError(
                f"run.cache_content needs images of exactly data.crop_px={data.crop_px} and "
                f"data.mode cached, because random crops do not recur: set run.cache_content False"
            )
        self.loader, self.features = loader, features
        self.versions = 8 if data.rotate else 2
        self.known = np.zeros(self.versions * len(rows), dtype=bool)
        self.stored: Tensor | None = None

    def target(self, index: int, hr: Tensor) -> Tensor:
        """Return the features of `hr` (N, 3, H, W), which is batch `index` of the loader."""
        slots = self._slots(index)
        missing = np.flatnonzero(~self.known[slots])
        if len(missing):
            # one image at a time: its features then do not depend on which others were missing
            computed = [self.features(hr[i : i + 1]) for i in missing.tolist()]
            self._store(slots[missing], torch.cat(computed))
        assert self.stored is not None
        return self.stored[upload(torch.from_numpy(slots), hr.device)]

    def _slots(self, index: int) -> np.ndarray:
        loader, data = self.loader, self.loader.data
        indices, epochs = (
            part[loader.mine]
            for part in sampling.batch_indices(len(loader.images), data.order_seed, index, data.batch_size)
        )
        slots = self.versions * indices.astype(np.int64)
        if data.flip:
            slots += sampling.flips(data.order_seed, epochs, indices)
        return slots + 2 * sampling.turns(data.order_seed, epochs, indices) if data.rotate else slots

    def _store(self, slots: np.ndarray, features: Tensor) -> None:
        if self.stored is None:
            self.stored = features.new_empty((len(self.known), *features.shape[1:]))
        self.stored[upload(torch.from_numpy(slots), features.device)] = features
        self.known[slots] = True
