"""Content features of real images, computed once: legal only where every crop recurs exactly.

That is so when the images are as large as the crop; each then has two versions, itself and its mirror.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from datasets import sampling
from datasets.errors import UserError
from datasets.loader import TrainLoader


class ContentCache:
    """Features by image and mirror, on the device of the features, filled as the batches come.

    UserError where crops are drawn at random or the data is streamed.
    """

    def __init__(self, loader: TrainLoader, features: Callable[[Tensor], Tensor]) -> None:
        data, rows = loader.data, loader.images.rows
        if data.mode != "cached" or any((r.height, r.width) != (data.crop_px, data.crop_px) for r in rows):
            raise UserError(
                f"run.cache_content needs images of exactly data.crop_px={data.crop_px} and "
                f"data.mode cached, since features of random crops never recur: set run.cache_content False"
            )
        self.loader, self.features = loader, features
        self.known = np.zeros(2 * len(rows), dtype=bool)
        self.kept: Tensor | None = None

    def target(self, index: int, hr: Tensor) -> Tensor:
        """The features of `hr`, which is batch `index` of the loader."""
        slots = self._slots(index)
        missing = np.flatnonzero(~self.known[slots])
        if len(missing):
            # one by one: features of an image then never depend on which others were missing
            fresh = [self.features(hr[i : i + 1]) for i in missing.tolist()]
            self._keep(slots[missing], torch.cat(fresh))
        assert self.kept is not None
        return self.kept[torch.from_numpy(slots).to(hr.device)]

    def _slots(self, index: int) -> np.ndarray:
        loader, data = self.loader, self.loader.data
        indices, epochs = (
            part[loader.mine]
            for part in sampling.batch_indices(len(loader.images), data.order_seed, index, data.batch_size)
        )
        mirrored = sampling.flips(data.order_seed, epochs, indices) if data.flip else np.zeros_like(indices)
        return 2 * indices.astype(np.int64) + mirrored.astype(np.int64)

    def _keep(self, slots: np.ndarray, features: Tensor) -> None:
        if self.kept is None:
            self.kept = features.new_empty((len(self.known), *features.shape[1:]))
        self.kept[torch.from_numpy(slots).to(features.device)] = features
        self.known[slots] = True
