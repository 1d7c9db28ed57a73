from config import read
from steer.datasets import prepare_generation_datasets
from steer.vector_appliers.vector_applier import BaseVectorApplier


def main():
    top_cfg = read()
    applier = BaseVectorApplier(top_cfg)
    applier.apply_vectors()
    applier.generate(prepare_generation_datasets(top_cfg))


if __name__ == "__main__":
    main()
